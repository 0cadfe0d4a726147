"""Joint Motion Reasoner: a language model that writes and edits the 21 sentences (KinMo, 3.4)."""
