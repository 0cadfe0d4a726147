"""The page on which evaluators judge sentences beside the moving figure."""
