#include "trace/trace-hw_cxl_gfam.h"
