"""onnxruntime: GroupNormalization loses all digits where the mean is large.

On: onnx
Link: https://onnx.ai/onnx/operators/onnx__GroupNormalization.html
Documented: y = scale * (x - mean) / sqrt(variance + epsilon) + bias
Found: The variance is the mean square minus the square of the mean, in float32. [40000, 40003]
    gives +-474 in place of +-1. LayerNormalization and InstanceNormalization of the same runtime
    are right.
Hurts: Exported diffusion and segmentation models with offsets before a group normalization.
"""

import onnx.parser
import onnxruntime

text = "<float[1] s={1}, float[1,1,2] x={40000,40003}>{y = GroupNormalization<num_groups=1>(x,s,s)}"
model = onnx.helper.make_model(onnx.parser.parse_graph("g () => (float[1,1,2] y) " + text))
assert onnxruntime.InferenceSession(model.SerializeToString()).run(None, {})[0].max() > 400
