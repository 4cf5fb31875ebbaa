"""Do intervals hold what they promise? Synthetic fields with known areas."""
