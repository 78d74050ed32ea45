"""`mplug demo`: learn from scratch on real pictures in minutes, then show what was learned."""
