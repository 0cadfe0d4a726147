"""From differences to six plus fifteen sentences."""
