"""Which items to label next: pure functions of arrays and a seed.

Ids are int64 arrays, probabilities float (n, C), vectors float32 (n, d) of unit length. Nothing
here depends on the order of its input, and the same seed always gives the same answer.
"""

from imfl_engine.query.control import choose_control
from imfl_engine.query.diversity import Clusters, cluster, representatives
from imfl_engine.query.routing import Candidates, route
from imfl_engine.query.schedule import RoundPlan, plan_rounds
from imfl_engine.query.scores import uncertainty
from imfl_engine.query.stopping import Advice, StopEvidence, advise, cohen_kappa
from imfl_engine.query.strategies import Selection, select

__all__ = [
    "Advice",
    "Candidates",
    "Clusters",
    "RoundPlan",
    "Selection",
    "StopEvidence",
    "advise",
    "choose_control",
    "cluster",
    "cohen_kappa",
    "plan_rounds",
    "representatives",
    "route",
    "select",
    "uncertainty",
]
