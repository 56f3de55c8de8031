#include "trace/trace-hw_cxl_fabric.h"
