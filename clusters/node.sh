# The environment of every node, and of everything that Ray starts on it: sourced by the commands of
# cluster.yaml and clusters/*.yaml. It holds no secret. One file for head and workers, since Ray
# wants most of this alike on all nodes.

export PATH="$HOME/leadline/.venv/bin:$PATH"

# Whoever talks to the cluster shows the token in ~/.ray/auth_token. The head makes it, the other
# nodes get a copy of it.
export RAY_AUTH_MODE=token
export RAY_USAGE_STATS_ENABLED=0

# A node whose cable is pulled is given up after about 10 s, where Ray's own settings take 65: three
# checks in a row, one a second, each with 2 s for the answer.
export RAY_health_check_initial_delay_ms=1000
export RAY_health_check_period_ms=1000
export RAY_health_check_timeout_ms=2000
export RAY_health_check_failure_threshold=3

# Nodes that find no head any more end by themselves after 10 s, where Ray's own setting takes 60.
# `ray down` on an on-premise cluster needs it: it stops the head alone.
export RAY_gcs_rpc_server_reconnect_timeout_s=10

# S3 stores other than Amazon's refuse the checksums that Amazon's libraries add unless told
# otherwise. Amazon's own does not need them.
export AWS_REQUEST_CHECKSUM_CALCULATION=when_required

# Ray keeps a file open for each connection between processes.
ulimit -n 65536 2>/dev/null || true
