"""Least even number of neighbours k, and threshold t, by trying every k with exact integers.

Run `python3 neighbour_parameters.py > own.json`; its rows are the `own` rows of neighbour_parameters.json.
"""
import json
from fractions import Fraction
from math import comb


def parameters(n, colluders, dropouts, malicious, sigma, eta):
    corrupt, dropped = int(Fraction(colluders) * n), int(Fraction(dropouts) * n)
    removed, surviving, others = corrupt + dropped, n - dropped, n - 1
    for k in range(2, n - 1, 2):
        # Two gaps of k/2 in the ring.
        if k <= removed and n * (n - k - 1) * comb(removed, k) << (sigma + 1) >= 2 * comb(n, k):
            continue
        total, tail, bound = comb(others, k), 0, min(corrupt, k)
        while bound > 0:
            tail += comb(corrupt, bound) * comb(others - corrupt, k - bound)
            if n * tail << (sigma + 1) > total:
                break
            bound -= 1
        threshold = max((k + bound) // 2 + 1 if malicious else 0, bound + 1, 2)
        if threshold > k:
            continue
        lost = sum(comb(surviving - 1, i) * comb(others - surviving + 1, k - i)
                   for i in range(max(0, k - (others - surviving + 1)), threshold))
        if n * lost << eta <= total:
            return k, threshold
    return None


if __name__ == '__main__':
    rows = []
    for name, malicious, fractions in [
        ('semi-honest', False, [('0.05', '0.05'), ('0.1', '0.1'), ('0.2', '0.2'), ('0.33', '0.33')]),
        ('malicious-server', True, [('0.05', '0.05'), ('0.1', '0.1'), ('0.2', '0.1'), ('0.2', '0.2'),
                                    ('0.33', '0.1')]),
    ]:
        for colluders, dropouts in fractions:
            for sigma in (40, 104):
                if sigma == 104 and (not malicious or dropouts != '0.1' or colluders == '0.33'):
                    continue
                for n in (50, 100, 200, 500, 1000, 2000, 5000, 10000):
                    if sigma == 104 and n in (50, 5000):
                        continue
                    k, t = parameters(n, colluders, dropouts, malicious, sigma, 30)
                    rows.append([n, colluders, dropouts, name, sigma, k, t])
    print('[\n' + ',\n'.join('  ' + json.dumps(row) for row in rows) + '\n]')
