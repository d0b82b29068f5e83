"""The paper's figures from run directories: PNG, SVG and the numbers drawn as CSV."""
