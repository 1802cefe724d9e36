"""Tables: what is measured of members, epochs and layers, as columns with a description, and how they are kept."""
