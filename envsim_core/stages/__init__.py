"""Stages: one module per room of the workflow, from files to files; a stage never imports another one."""
