"""The package `line`, as somebody outside would write it; tests install it, or import it from here."""
