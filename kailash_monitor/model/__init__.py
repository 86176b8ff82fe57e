"""Values and protocols that cross layers, all of them frozen."""
