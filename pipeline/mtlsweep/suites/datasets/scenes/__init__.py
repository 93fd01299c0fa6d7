"""Generated scenes: a small ray caster and what is drawn with it."""
