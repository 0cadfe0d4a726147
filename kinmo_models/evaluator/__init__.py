"""The T2M evaluator (Guo et al., CVPR 2022): one space of motions and texts that generated motions are scored in."""
