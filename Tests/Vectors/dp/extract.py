"""Copies the accounting values that the tests need out of the project's reference collection.

usage: python3 extract.py path/to/reference/dp/vectors.json

Keeps mechanism, parameters, query and every library's number; drops running times.
"""
import json
import sys

WANTED = [
    "gaussian_composed", "gaussian_composed_by_fft", "zcdp_to_eps",
    "rdp_poisson_subsampled_gaussian", "poisson_subsampled_gaussian_composed", "rdp_laplace",
    "laplace_composed", "discrete_laplace_composed", "discrete_gaussian_scalar_composed",
    "integer_noise_gdp_per_unit_shift", "integer_noise_gdp_vector_shift", "rdp_point_to_eps",
    "calibrate_gaussian_single", "calibrate_poisson_gaussian_noise_multiplier",
    "distributed_discrete", "skellam_renyi_scalar", "sum_discrete_gaussian_renyi_scalar",
    "sum_of_discrete_gaussians", "one_run_audit", "discrete_gaussian_pmf", "rounded_l2_norm_bound",
    "bandmf_gboard",
]

source = json.load(open(sys.argv[1]))
vectors = []
for vector in source["vectors"]:
    if vector["mechanism"] not in WANTED:
        continue
    results = [{k: v for k, v in r.items() if k not in ("seconds", "version")} for r in vector["results"]]
    vectors.append({
        "id": vector["id"], "mechanism": vector["mechanism"], "params": vector["params"],
        "query": vector["query"], "results": results,
    })
lines = [json.dumps(v, sort_keys=True, separators=(",", ":")) for v in vectors]
with open("accounting.json", "w") as out:
    out.write('{"versions":%s,\n"vectors":[\n%s\n]}\n' % (
        json.dumps(source["versions"], sort_keys=True), ",\n".join(lines)))
