#include "trace/trace-hw_dpu_eca.h"
