#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The newest kernel that Debian has (`run --kernel 7.x`): it boots with our modules, runs a
# guest with two processors and tests of each of the API's three levels.
# `make check-kernels` runs all of them, on all kernels.
# timeout: 900

lab=$(cd -- "$(dirname -- "$0")/.." && pwd)
exec "$lab/try-kernel" 7.x "$LAB_MODULES_DIR/../7.x" api/system api/vcpu api/irqchip
