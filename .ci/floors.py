"""Print the oldest supported version of every requirement, as pip pins."""

import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]

extras = project["optional-dependencies"]
requirements = project["dependencies"] + extras["plot"] + extras["test"]
for requirement in dict.fromkeys(requirements):
    print(requirement.replace(">=", "=="))
