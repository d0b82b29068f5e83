"""The paper's figures, from run directories: PNG, SVG and the numbers as CSV.

For example:

    from panns_tf.plots.curves import curves
    from panns_tf.plots.runs import read_runs

    runs, unreadable = read_runs(["runs"])
    chart = curves(runs, by=["arch"])
    chart.figure()       # a matplotlib Figure
    chart.rows           # the numbers drawn
    chart.save("figures")
"""
