"""onnxruntime: MeanVarianceNormalization of a constant gives NaN.

On: onnx
Link: https://onnx.ai/onnx/operators/onnx__MeanVarianceNormalization.html
Documented: The function body adds an epsilon of 1e-9 to the standard deviation, so that a
    constant gives 0.
Found: onnxruntime has no epsilon: 0 / 0. The reference evaluator of ONNX gives 0.
Hurts: Blank images and dead channels: one of them and the outputs after it are NaN.
"""

import onnx.parser
import onnxruntime

text = "g () => (float[1,1,1,2] y) <float[1,1,1,2] x={1,1}> {y = MeanVarianceNormalization(x)}"
model = onnx.helper.make_model(onnx.parser.parse_graph(text))
assert "nan" in str(onnxruntime.InferenceSession(model.SerializeToString()).run(None, {}))
