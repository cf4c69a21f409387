"""A predictor version as two ONNX graphs, so that agents and schedulers predict without a network hop.

    from predictors.export.exporting import export_version
    from predictors.export.onnx_predictor import OnnxPredictor

    exported = export_version(version)             # exported.calm and exported.runtime are ONNX files
    predictor = OnnxPredictor(exported)            # ONNX Runtime alone, no LightGBM
    forecast = predictor.forecast(query, state)    # as PredictorVersion.forecast does on the runtime rung

There are two graphs because a device's state enters relative to the run's calm length, which the first gives.
"""
