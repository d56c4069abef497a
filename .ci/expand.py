"""Prints template.yaml as CloudFormation gets it, with SAM's resources expanded as in `sam validate`, but offline.

cfn-lint reads the SAM resources as they are written. A mistake in their expansion (a `DependsOn` that moves to another
resource, a condition that one of the resulting resources does not have) shows in the expanded template only.
"""

import logging
import sys
from pathlib import Path

from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse


class NoManagedPolicies:
    """An empty list of managed policies, which SAM would fetch from IAM. The template uses none by its bare name."""

    def load(self) -> dict[str, str]:
        return {}


logging.disable(logging.WARNING)
template = yaml_parse(Path(sys.argv[1]).read_text())
validator = SamTemplateValidator(template, NoManagedPolicies(), region="us-east-1")
print(validator.get_translated_template_if_valid())
