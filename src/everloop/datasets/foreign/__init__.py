"""Tables of other systems: read where they are, and written so that other systems read them."""
