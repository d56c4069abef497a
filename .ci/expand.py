"""Prints template.yaml as CloudFormation gets it: with SAM's resources expanded, as `sam validate` does it, offline.

cfn-lint reads the SAM resources as they are written. What SAM makes of them (a `DependsOn` handed on to another resource,
a condition that one of its parts lost) shows in the expanded template only.
"""

import logging
import sys
from pathlib import Path

from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse


class NoManagedPolicies:
    """The list would come from IAM. The template names no policy by its bare name, so none has to be looked up."""

    def load(self) -> dict[str, str]:
        return {}


logging.disable(logging.WARNING)
template = yaml_parse(Path(sys.argv[1]).read_text())
validator = SamTemplateValidator(template, NoManagedPolicies(), region="us-east-1")
print(validator.get_translated_template_if_valid())
