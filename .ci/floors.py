"""Print the oldest supported version of every requirement, as pip pins."""

import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]

extras = project["optional-dependencies"]
for requirement in project["dependencies"] + extras["plot"] + extras["test"]:
    print(requirement.replace(">=", "=="))
