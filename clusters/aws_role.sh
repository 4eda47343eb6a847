#!/bin/sh
# The role and instance profile `leadline` of the machines of cluster.yaml: they may start machines,
# end and tag those that Ray has started, pass this role on to them, look up images, and use one
# bucket. An account's first spot machine needs a role of AWS's own, which they may have made. Once
# per AWS account and bucket; running it again renews the permissions.
# Usage: sh clusters/aws_role.sh BUCKET
set -eu
bucket=${1:?usage: sh clusters/aws_role.sh BUCKET}
account=$(aws sts get-caller-identity --query Account --output text)
ec2='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}'
may='{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": ["ec2:Describe*", "ec2:RunInstances"], "Resource": "*"},
  {"Effect": "Allow", "Action": "ec2:CreateTags", "Resource": "*", "Condition": {"StringEquals": {"ec2:CreateAction": "RunInstances"}}},
  {"Effect": "Allow", "Action": ["ec2:CreateTags", "ec2:StartInstances", "ec2:StopInstances", "ec2:TerminateInstances"], "Resource": "*",
   "Condition": {"StringLike": {"aws:ResourceTag/ray-cluster-name": "*"}}},
  {"Effect": "Allow", "Action": "iam:CreateServiceLinkedRole", "Resource": "*",
   "Condition": {"StringEquals": {"iam:AWSServiceName": "spot.amazonaws.com"}}},
  {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "arn:aws:iam::'$account':role/leadline"},
  {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "arn:aws:ssm:*::parameter/aws/service/*"},
  {"Effect": "Allow", "Action": "s3:*", "Resource": ["arn:aws:s3:::'$bucket'", "arn:aws:s3:::'$bucket'/*"]}]}'
if ! aws iam get-role --role-name leadline > /dev/null 2>&1; then
  aws iam create-role --role-name leadline --assume-role-policy-document "$ec2" > /dev/null
  aws iam create-instance-profile --instance-profile-name leadline > /dev/null
  aws iam add-role-to-instance-profile --instance-profile-name leadline --role-name leadline
fi
aws iam put-role-policy --role-name leadline --policy-name leadline --policy-document "$may"
echo "Machines with the profile leadline may use s3://$bucket."
