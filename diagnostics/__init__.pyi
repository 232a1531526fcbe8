"""Public names of diagnostics and where each is defined: this is the one place that declares them."""

from diagnostics.__main__ import main as main
from diagnostics.architecture.head_contract import broken_promises as broken_promises
from diagnostics.audit.audit import audit_panel as audit_panel
from diagnostics.audit.metrics.case import Design as Design
from diagnostics.audit.metrics.plan import audit_metrics as audit_metrics
from diagnostics.audit.metrics.summary import MetricsAudit as MetricsAudit
from diagnostics.audit.evaluation.data import read_screen as read_screen, split_of as split_of
from diagnostics.audit.evaluation.evaluate import evaluate as evaluate
from diagnostics.audit.exchange.answer import answered as answered
from diagnostics.audit.exchange.program import named_program as named_program
from diagnostics.audit.power.analysis import DetectionPower as DetectionPower, detection_power as detection_power
from diagnostics.audit.power.design import PowerDesign as PowerDesign
from diagnostics.graphs.planted import (
    GraphDesign as GraphDesign,
    GraphRecovery as GraphRecovery,
    graph_recovery as graph_recovery,
)
from diagnostics.inputs.diagnose import diagnose as diagnose
from diagnostics.inputs.planted.untreated import untreated_cells as untreated_cells
from diagnostics.inputs.frameworks.recorder import record as record
from diagnostics.inputs.frameworks.screen_module import ScreenPairs as ScreenPairs, module_answer as module_answer
from diagnostics.inputs.frameworks.lightning import DiagnoseCallback as DiagnoseCallback
from diagnostics.inputs.frameworks.transformers import DiagnoseTrainerCallback as DiagnoseTrainerCallback
from diagnostics.checks.engine.intent import Intent as Intent
from diagnostics.checks.engine.subject import Subject as Subject
from diagnostics.checks.predictor import check_predictor as check_predictor
from diagnostics.cli.bar import progress_bar as progress_bar
from diagnostics.commands.power.model import ModelReadOut as ModelReadOut
from diagnostics.commands.sweep.table import sweep_table as sweep_table
from diagnostics.graphs.implied_law import implied_partial as implied_partial
from diagnostics.graphs.partial_correlations import NOT_CAUSAL as NOT_CAUSAL, partial_within as partial_within
from diagnostics.graphs.rankings import average_precision as average_precision
from diagnostics.graphs.readouts import (
    invert_total as invert_total,
    read_out as read_out,
    single_gene_response as single_gene_response,
)
from diagnostics.graphs.scores import GraphScore as GraphScore, score_graph as score_graph
from diagnostics.results.check_result import CheckResult as CheckResult
from diagnostics.results.report import Report as Report
from diagnostics.commands.ladder.rungs.asked import Budget as Budget
from diagnostics.commands.ladder.rungs.ladder import Ladder as Ladder, ladder as ladder
from diagnostics.commands.ladder.rungs.results import RungResult as RungResult
from diagnostics.scoring.baselines import (
    MeanPredictor as MeanPredictor,
    NoChangePredictor as NoChangePredictor,
    RidgePredictor as RidgePredictor,
)
from diagnostics.scoring.errors import losses_of as losses_of
from diagnostics.scoring.levels import Levels as Levels, levels_of as levels_of
from diagnostics.scoring.matched_linear import (
    PairLinearPredictor as PairLinearPredictor,
    TypeMeanPredictor as TypeMeanPredictor,
)
from diagnostics.scoring.real_cells import (
    all_cells as all_cells,
    choose_panel as choose_panel,
    labelled_losses as labelled_losses,
)
from diagnostics.audit.screens.doctor import (
    SCREEN_CHECKS as SCREEN_CHECKS,
    ScreenReport as ScreenReport,
    check_screen as check_screen,
)
from diagnostics.audit.screens.reading import Asked as Asked

__all__: list[str]
