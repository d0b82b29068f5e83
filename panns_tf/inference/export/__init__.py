"""Networks as files that other programs run.

For example:

    from panns_tf.inference.export.saved_model import export_saved_model

    export_saved_model(network, "served/panns/1")
"""
