"""Ask PyPI's database for known vulnerabilities of what is installed: audit.py PIP_AUDIT SITE_PACKAGES.

The exit status is 1 where there are some. A database that does not answer in time is said, and no fault.
"""

from __future__ import annotations

import json
import subprocess
import sys

SECONDS = 180


def main(pip_audit: str, site_packages: str) -> int:
    options = "--format json --progress-spinner off --timeout 10"
    command = [pip_audit, "--path", site_packages, *options.split()]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        packages = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        print(f"pip-audit: SKIPPED, no answer within {SECONDS} seconds")
        return 0
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"pip-audit: SKIPPED, the database cannot be reached: {reason[:200]}")
        return 0
    known = [one for one in packages if "vulns" in one]
    left_out = len(packages) - len(known)
    if not known:
        print(f"pip-audit: SKIPPED, the database has nothing on any of {left_out} distributions")
        return 0
    bad = [one for one in known if one["vulns"]]
    for one in bad:
        ids = ", ".join(vulnerability["id"] for vulnerability in one["vulns"])
        fixed = ", ".join(
            version for vulnerability in one["vulns"] for version in vulnerability["fix_versions"]
        )
        print(f"pip-audit: {one['name']} {one['version']}: {ids}; fixed in {fixed or 'no version'}")
    print(
        f"pip-audit: {len(known)} distributions, {len(bad)} with known vulnerabilities; the database has "
        f"nothing on {left_out} more"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
