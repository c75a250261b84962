"""Every rule that looks at one file at a time, by name."""

from rules import boundary_rules, conduct_rules, import_rules, shape_rules, word_rules
from rules.source import Rule

RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        import_rules.layers,
        import_rules.no_absolute_namespace_import,
        import_rules.no_upward_string,
        import_rules.standalone_execution,
        import_rules.no_hidden_import,
        shape_rules.file_length,
        shape_rules.function_length,
        boundary_rules.key_prefix,
        boundary_rules.environment,
        conduct_rules.no_sleep_in_tests,
        conduct_rules.no_broad_except,
        conduct_rules.nothing_unfinished,
        word_rules.names,
        word_rules.workplace,
        word_rules.launched_by_name,
    )
}
