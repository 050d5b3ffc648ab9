__version__ = "0.1.0"

from wrapt import when_imported

@when_imported('transformers.models.auto.configuration_auto')
def _know_own_configuration(_):
    "Once somebody needs transformers' AutoConfig, it knows this package's type; no model can be imported yet."
    import mmrag_nb.dual_config

@when_imported('transformers.models.auto.modeling_auto')
def _know_own_models(_):
    "Once somebody needs transformers' AutoModel, it knows the architecture of this package."
    import mmrag_nb.dual
