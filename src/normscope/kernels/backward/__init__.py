"""The backward pass: sums over each statistics set, and the gradients that follow from them."""
