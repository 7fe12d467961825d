"""Read the heads off any image tower that is described as a list of operations on its residual stream.

A residual stream of tokens ``x_t`` is a sum of what the stem, every attention head and every MLP write into it, and
what follows is linear once a few numbers are read off the forward pass. So is the embedding then, and it splits into
what each of them gives (Gandelsman et al., arXiv 2310.05916, section 3, for a class token and one LayerNorm; here for
any tower):

- **A norm** is ``x -> gamma (x - mean(x)) / sigma + beta``. sigma depends on the token, all else is fixed: the matrix
  ``diag(gamma) (I - 11^T/d)``, or ``diag(gamma)`` for RMSNorm, and the constant beta.
- **Pooling** is a weighted sum over tokens: weight 1 for a class token, 1/T each for an average, softmax weights
  ``w_gt`` in attention pooling, a row for each of its G heads g (G = 1 in the other two).
- **A linear layer, LayerScale, the pooling's values and output** are matrices, with constants.

Composed backwards from the embedding, these give each head h of layer l one fixed map for each g, and the sigmas that
divide what it writes: those of norms in front of the pooling token by token, those of norms behind it once:

    contribution[l, h] = B[l, h] Z[l, h]
    B[l, h] = [B_1 .. B_G], each B_g the product of all matrices from the head's output projection on,  D x (G k)
    Z[l, h] = [Z_1 .. Z_G], Z_g = sum_t w_gt z_t / (sigma_t ...) / (sigma ...),                        G k numbers

where z_t are the k numbers of the head at token t before its output projection. A norm between the heads and the
output projection (sub-LN) or behind it (post-norm) only adds its matrix to the product and its sigma to the divisors.
What is no head, the rest, is mapped in the same way: the stem, MLPs and constants.

Attention pooling has heads of its own: ``B[P, g] z_g`` with ``z_g = sum_t w_gt (W_V,g x_t + b_g)``. With what is
written behind the pooling (its MLP, constants) they add up to the embedding too. These are two partitions of one
vector, by where the tokens were mixed last (`pool`) and by which layer wrote into them (`trunk`): each adds up, and
they are never added.

`operations` has the vocabulary, `composition` the walk backwards, `recording` the hooks on the model's own forward
pass, `tower` the adapter that stands on them, `families` what towers of different packages have in common.
"""
