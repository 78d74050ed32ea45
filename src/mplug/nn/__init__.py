"""Building blocks shared by every model: plain arguments in, modules out."""
