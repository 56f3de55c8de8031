/*
 * GFAM device: the memory backend that stands for fabric memory
 *
 * QEMU's Type-3 device takes its capacity from a memory backend.  This one
 * maps a segment of the fabric; the endpoint creates it, users cannot.
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qom/object_interfaces.h"
#include "../cxl-fabric/compat.h"
#include "gfam-internal.h"

#define TYPE_GFAM_MEMORY "memory-backend-cxl-gfam"
OBJECT_DECLARE_SIMPLE_TYPE(GFAMMemory, GFAM_MEMORY)

struct GFAMMemory {
    HostMemoryBackend parent_obj;

    CXLGFAM *gfam;          /* the endpoint; NULL from a user */
};

static bool gfam_memory_alloc(HostMemoryBackend *backend, Error **errp)
{
    GFAMMemory *m = GFAM_MEMORY(backend);
    g_autofree char *name = NULL;
    int fd;

    if (!m->gfam) {
        error_setg(errp, "%s is made by cxl-gfam devices; use a memory-"
                   "backend-memfd with share=on, and 'memdev0' of the "
                   "cxl-fabric", TYPE_GFAM_MEMORY);
        return false;
    }
    fd = qemu_dup(cxl_fabric_gfam_fd(eca_fabric(m->gfam->eca),
                                     m->gfam->gfam));
    if (fd < 0) {
        error_setg_errno(errp, errno, "cannot dup a fabric segment");
        return false;
    }
    name = host_memory_backend_get_name(backend);
    backend->aligned = true;
    return memory_region_init_ram_from_fd(&backend->mr, OBJECT(backend), name,
                                          backend->size,
                                          RAM_SHARED | RAM_NORESERVE, fd,
                                          gfam_dpa(m->gfam, 0), errp);
}

HostMemoryBackend *gfam_memory_new(CXLGFAM *s, Error **errp)
{
    Object *obj = object_new(TYPE_GFAM_MEMORY);
    GFAMMemory *m = GFAM_MEMORY(obj);

    m->gfam = s;
    m->parent_obj.size = gfam_size(s);
    m->parent_obj.share = true;
    object_property_add_child(OBJECT(s), "fabric-memory", obj);
    object_unref(obj);
    if (!user_creatable_complete(USER_CREATABLE(obj), errp)) {
        object_unparent(obj);
        return NULL;
    }
    return MEMORY_BACKEND(obj);
}

static void gfam_memory_class_init(ObjectClass *oc, CXLF_CLASS_DATA data)
{
    MEMORY_BACKEND_CLASS(oc)->alloc = gfam_memory_alloc;
}

static const TypeInfo gfam_memory_info = {
    .name = TYPE_GFAM_MEMORY,
    .parent = TYPE_MEMORY_BACKEND,
    .instance_size = sizeof(GFAMMemory),
    .class_init = gfam_memory_class_init,
};

static void gfam_memory_register(void)
{
    type_register_static(&gfam_memory_info);
}

type_init(gfam_memory_register)
