"""Theory: moments of activations for normal inputs, and mean-field theory of wide random networks."""
