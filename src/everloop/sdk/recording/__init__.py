"""Recording runs where they happen: `el.run()`, its journal on this machine's disk, and what ships it to a platform."""
