"""Each kind of event, and what it changes of the state. `fold` joins them."""
