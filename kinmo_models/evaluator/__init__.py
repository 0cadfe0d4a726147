"""The T2M evaluator (Guo et al., CVPR 2022): motions and texts in one space, where motions are scored."""
