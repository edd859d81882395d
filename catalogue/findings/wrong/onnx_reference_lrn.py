"""ONNX: the reference evaluator's LRN normalizes as many channels as there are samples.

On: onnx
Link: https://onnx.ai/onnx/operators/onnx__LRN.html
Documented: Every channel is divided by the squares of its neighbours.
Found: The loop over channels runs to the length of the batch axis. With one sample only channel 0
    is normalized; with more samples than channels it raises.
Hurts: Who checks a converter or a runtime against the reference.
"""

import numpy as np
import onnx.reference

node = onnx.helper.make_node("LRN", ["x"], ["y"], size=3, alpha=3.0, beta=1.0)
y = onnx.reference.ReferenceEvaluator(node).run(None, {"x": np.ones((1, 4, 1, 1), "float32")})
assert (y[0].ravel()[1:] == 1).all()  # right: 1/4, 1/4, 1/3
