/*
 * CXL fabric object: properties, and what all three roles share
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qom/object_interfaces.h"
#include "qemu/units.h"
#include "system/system.h"
#include "compat.h"
#include "fabric-internal.h"
#include "trace.h"

static QLIST_HEAD(, CXLFabric) fabrics = QLIST_HEAD_INITIALIZER(fabrics);

CXLFabric *cxl_fabric_first(void)
{
    return QLIST_FIRST(&fabrics);
}

CXLFabric *cxl_fabric_next(CXLFabric *f)
{
    return QLIST_NEXT(f, next);
}

const char *cxl_fabric_id(CXLFabric *f)
{
    const char *id = OBJECT(f)->parent ?
        object_get_canonical_path_component(OBJECT(f)) : NULL;

    return id ? id : "(unnamed)";
}

/* Segments */

uint64_t cxl_fabric_segment_size(CXLFabric *f, uint32_t kind, uint32_t index)
{
    const struct cxlf_topology *t = &f->directory.topology;

    switch (kind) {
    case CXLF_KIND_FABRIC:
        return ROUND_UP(sizeof(struct cxlf_fabric), CXLF_PAGE);
    case CXLF_KIND_LEAF:
        return cxlf_leaf_size(t);
    case CXLF_KIND_GFAM:
        return t->gfam[index].hot + t->gfam[index].bulk;
    default:
        g_assert_not_reached();
    }
}

bool cxl_fabric_map(CXLFabricSegment *s, bool writable, Error **errp)
{
    void *map = mmap(NULL, s->size, PROT_READ | (writable ? PROT_WRITE : 0),
                     MAP_SHARED | MAP_NORESERVE, s->fd, 0);

    if (map == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot map a segment of %" PRIu64
                         " bytes", s->size);
        return false;
    }
    s->map = map;
    return true;
}

bool cxl_fabric_adopt_leaf(CXLFabric *f, uint32_t leaf, Error **errp)
{
    CXLFabricSegment *s = &f->segment[CXLF_KIND_LEAF][leaf];
    const char *why;

    if (!cxlf_leaf_attach(&f->directory, s->map, s->size, leaf,
                          f->uuid.data, &why)) {
        error_setg(errp, "%s", why);
        return false;
    }
    return true;
}

static void drop_segments(CXLFabric *f)
{
    for (int kind = 0; kind < CXLF_KINDS; kind++) {
        for (int i = 0; i < CXLF_MAX_GFAMS; i++) {
            CXLFabricSegment *s = &f->segment[kind][i];

            if (s->map) {
                munmap(s->map, s->size);
            }
            if (s->fd >= 0) {
                close(s->fd);
            }
            if (s->backend) {
                host_memory_backend_set_mapped(s->backend, false);
                object_unref(OBJECT(s->backend));
            }
            *s = (CXLFabricSegment) { .fd = -1 };
        }
    }
    f->table = NULL;
}

/* What devices use */

int cxl_fabric_attach(CXLFabric *f, Error **errp)
{
    if (f->kind == CXL_FABRIC_NONE) {
        error_setg(errp, "'fabric': the cxl-fabric object is not complete");
        return -1;
    }
    if (f->attached) {
        error_setg(errp, "'fabric': an Edge Coherence Agent of this process "
                   "uses it already; one host has one");
        return -1;
    }
    if (f->kind != CXL_FABRIC_MEMBER) {
        f->self = cxl_fabric_claim_host(f, f->want_host, getpid());
        if (f->self < 0) {
            error_setg(errp, "'fabric': %s", f->want_host < 0 ?
                       "every host number is taken; raise 'hosts'" :
                       "the wished 'host' number is taken");
            return -1;
        }
        cxl_fabric_set_host(f, f->self, CXLF_HOST_UP);
    }
    f->attached = true;
    return f->self;
}

void cxl_fabric_detach(CXLFabric *f)
{
    f->attached = false;
    if (f->lost) {
        return;
    }
    cxlf_give_up(&f->directory, f->self, CXLF_EVICT, NULL);
    if (f->kind != CXL_FABRIC_MEMBER) {
        f->table->host[f->self].pid = 0;
        cxl_fabric_set_host(f, f->self, CXLF_HOST_FREE);
        f->self = -1;
    }
}

bool cxl_fabric_is_up(CXLFabric *f)
{
    return !qatomic_read(&f->lost);
}

struct cxlf_directory *cxl_fabric_directory(CXLFabric *f)
{
    return &f->directory;
}

const QemuUUID *cxl_fabric_uuid(CXLFabric *f)
{
    return &f->uuid;
}

uint32_t cxl_fabric_epoch(CXLFabric *f)
{
    return qatomic_read(&f->table->epoch);
}

int cxl_fabric_gfam_fd(CXLFabric *f, uint32_t gfam)
{
    return f->segment[CXLF_KIND_GFAM][gfam].fd;
}

bool cxl_fabric_gfam_take(CXLFabric *f, uint32_t gfam)
{
    if (f->gfam_taken & 1u << gfam) {
        return false;
    }
    f->gfam_taken |= 1u << gfam;
    return true;
}

void cxl_fabric_gfam_release(CXLFabric *f, uint32_t gfam)
{
    f->gfam_taken &= ~(1u << gfam);
}

void cxl_fabric_add_lost_notifier(CXLFabric *f, Notifier *n)
{
    notifier_list_add(&f->lost_notifiers, n);
}

/* Completion: which role it is, and the topology of an owner */

static void topology_from_properties(CXLFabric *f, uint32_t default_hosts)
{
    struct cxlf_topology *t = &f->directory.topology;

    t->hosts = f->hosts ? f->hosts : default_hosts;
    t->leaves = f->leaves ? f->leaves : 1;
    t->shards = f->shards ? f->shards : 4;
    t->gfams = f->gfams ? f->gfams : 1;
    for (uint32_t i = 0; i < MIN(t->gfams, CXLF_MAX_GFAMS); i++) {
        t->gfam[i] = (struct cxlf_gfam) {
            .hot = f->hot ? f->hot : 256 * MiB,
            .bulk = f->has_bulk ? f->bulk : 256 * MiB,
            .leaf = i % t->leaves,
        };
    }
    for (uint32_t i = 0; i < MIN(t->hosts, CXLF_MAX_HOSTS); i++) {
        t->host_leaf[i] = i % t->leaves;
    }
}

/* The first property that is given and only an owner may give, or NULL. */
static const char *owners_property(CXLFabric *f)
{
    return f->hosts ? "hosts" : f->leaves ? "leaves" :
           f->shards ? "shards" : f->gfams ? "gfams" :
           f->hot ? "hot" : f->has_bulk ? "bulk" : NULL;
}

static bool read_topology(CXLFabric *f, uint32_t default_hosts, Error **errp)
{
    struct cxlf_topology *t = &f->directory.topology;
    const char *why;

    if (f->topology_file) {
        const char *extra = owners_property(f);
        g_autoptr(GError) error = NULL;
        g_autofree char *blob = NULL;
        gsize size;

        if (extra) {
            error_setg(errp, "'%s' and 'topology' exclude each other: the "
                       "file says it", extra);
            return false;
        }
        if (!g_file_get_contents(f->topology_file, &blob, &size, &error)) {
            error_setg(errp, "'topology': %s", error->message);
            return false;
        }
        if (!cxlf_topology_read(blob, size, t, &why)) {
            error_setg(errp, "'topology': %s", why);
            return false;
        }
    } else {
        topology_from_properties(f, default_hosts);
        if (!cxlf_topology_check(t, &why)) {
            error_setg(errp, "%s", why);
            return false;
        }
    }
    for (uint32_t i = t->gfams; i < CXLF_MAX_GFAMS; i++) {
        if (f->memdev[i]) {
            error_setg(errp, "'memdev%u': the topology has only %u GFAM "
                       "devices", i, t->gfams);
            return false;
        }
    }
    return true;
}

static bool complete_owner(CXLFabric *f, uint32_t default_hosts, Error **errp)
{
    qemu_uuid_generate(&f->uuid);
    return read_topology(f, default_hosts, errp) &&
           cxl_fabric_create_segments(f, errp) &&
           (!f->listen || cxl_fabric_listen(f, errp));
}

static bool complete_member(CXLFabric *f, Error **errp)
{
    const char *extra = owners_property(f);

    if (extra) {
        error_setg(errp, "'%s' is the owner's to set; leave it out when "
                   "joining, or add listen=on to own the fabric", extra);
        return false;
    }
    for (int i = 0; i < CXLF_MAX_GFAMS; i++) {
        if (f->memdev[i]) {
            error_setg(errp, "'memdev%d' is the owner's to set; leave it out "
                       "when joining", i);
            return false;
        }
    }
    return cxl_fabric_join(f, errp);
}

static bool check_socket(CXLFabric *f, Error **errp)
{
    struct sockaddr_un un;

    if (f->listen && !f->socket) {
        error_setg(errp, "'listen' needs 'socket', the path to listen at");
        return false;
    }
    if (f->socket && (!f->socket[0] ||
                      strlen(f->socket) >= sizeof(un.sun_path))) {
        error_setg(errp, "'socket' must be a path of 1 to %zu bytes",
                   sizeof(un.sun_path) - 1);
        return false;
    }
    return true;
}

static void cxl_fabric_complete(UserCreatable *uc, Error **errp)
{
    CXLFabric *f = CXL_FABRIC(uc);
    bool ok;

    if (!check_socket(f, errp)) {
        return;
    }
    if (f->socket && !f->listen) {
        f->kind = CXL_FABRIC_MEMBER;
        ok = complete_member(f, errp);
    } else {
        f->kind = f->listen ? CXL_FABRIC_OWNER : CXL_FABRIC_EMBEDDED;
        ok = complete_owner(f, f->listen ? 8 : 1, errp);
    }
    if (!ok) {
        cxl_fabric_leave(f);
        drop_segments(f);
        f->kind = CXL_FABRIC_NONE;
    }
}

static bool cxl_fabric_can_be_deleted(UserCreatable *uc)
{
    return !CXL_FABRIC(uc)->attached;
}

CXLFabric *cxl_fabric_new_embedded(Object *parent, const char *name,
                                   Error **errp)
{
    Object *obj = object_new(TYPE_CXL_FABRIC);

    object_property_add_child(parent, name, obj);
    object_unref(obj);
    if (!user_creatable_complete(USER_CREATABLE(obj), errp)) {
        object_unparent(obj);
        return NULL;
    }
    return CXL_FABRIC(obj);
}

/* Properties */

static bool changeable(CXLFabric *f, Error **errp)
{
    if (f->kind != CXL_FABRIC_NONE) {
        error_setg(errp, "cannot be changed once the fabric exists");
        return false;
    }
    return true;
}

static char *get_socket(Object *obj, Error **errp)
{
    return g_strdup(CXL_FABRIC(obj)->socket);
}

static void set_socket(Object *obj, const char *value, Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);

    if (changeable(f, errp)) {
        g_free(f->socket);
        f->socket = g_strdup(value);
    }
}

static char *get_topology(Object *obj, Error **errp)
{
    return g_strdup(CXL_FABRIC(obj)->topology_file);
}

static void set_topology(Object *obj, const char *value, Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);

    if (changeable(f, errp)) {
        g_free(f->topology_file);
        f->topology_file = g_strdup(value);
    }
}

static bool get_listen(Object *obj, Error **errp)
{
    return CXL_FABRIC(obj)->listen;
}

static void set_listen(Object *obj, bool value, Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);

    if (changeable(f, errp)) {
        f->listen = value;
    }
}

/* The numbers with a range; @opaque of their accessors. */
typedef struct CXLFabricNumber {
    const char *name;
    size_t offset;      /* of a uint32_t */
    uint32_t max;
    const char *description;
} CXLFabricNumber;

static CXLFabricNumber numbers[] = {
    { "hosts", offsetof(CXLFabric, hosts), CXLF_MAX_HOSTS,
      "How many hosts may join (owner only)" },
    { "leaves", offsetof(CXLFabric, leaves), CXLF_MAX_LEAVES,
      "Number of leaf switches (owner only)" },
    { "shards", offsetof(CXLFabric, shards), CXLF_MAX_SHARDS,
      "Directory shards of each leaf (owner only)" },
    { "gfams", offsetof(CXLFabric, gfams), CXLF_MAX_GFAMS,
      "Number of GFAM devices (owner only)" },
};

static void get_number(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    CXLFabricNumber *n = opaque;
    uint32_t *field = (void *)((char *)CXL_FABRIC(obj) + n->offset);

    visit_type_uint32(v, name, field, errp);
}

static void set_number(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    CXLFabricNumber *n = opaque;
    uint32_t *field = (void *)((char *)CXL_FABRIC(obj) + n->offset);
    uint32_t value;

    if (!changeable(CXL_FABRIC(obj), errp) ||
        !visit_type_uint32(v, name, &value, errp)) {
        return;
    }
    if (value < 1 || value > n->max) {
        error_setg(errp, "'%s' must be 1 to %u", name, n->max);
        return;
    }
    *field = value;
}

static void get_size(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);
    uint64_t value = opaque ? f->bulk : f->hot;

    visit_type_size(v, name, &value, errp);
}

/* @opaque: NULL for 'hot', anything else for 'bulk' */
static void set_size(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);
    uint64_t value;

    if (!changeable(f, errp) || !visit_type_size(v, name, &value, errp)) {
        return;
    }
    if (opaque) {
        f->bulk = value;
        f->has_bulk = true;
    } else if (value) {
        f->hot = value;
    } else {
        error_setg(errp, "'hot' must be a multiple of 256 MiB from 256 MiB "
                   "to 64 GiB");
    }
}

static void get_host(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);
    int32_t value = f->kind == CXL_FABRIC_NONE ? f->want_host : f->self;

    visit_type_int32(v, name, &value, errp);
}

static void set_host(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);
    int32_t value;

    if (!changeable(f, errp) || !visit_type_int32(v, name, &value, errp)) {
        return;
    }
    if (value < -1 || value >= CXLF_MAX_HOSTS) {
        error_setg(errp, "'host' must be -1 (any) to %d", CXLF_MAX_HOSTS - 1);
        return;
    }
    f->want_host = value;
}

static void check_memdev(const Object *obj, const char *name, Object *value,
                         Error **errp)
{
    changeable(CXL_FABRIC(obj), errp);
}

/* Devices may outlive the object list at exit, so finalize may not come. */
static void on_exit_process(Notifier *n, void *data)
{
    CXLFabric *f = container_of(n, CXLFabric, exit);

    cxl_fabric_unlisten(f);
    cxl_fabric_leave(f);
}

static void cxl_fabric_init(Object *obj)
{
    CXLFabric *f = CXL_FABRIC(obj);

    f->want_host = -1;
    f->self = -1;
    notifier_list_init(&f->lost_notifiers);
    QLIST_INIT(&f->peers);
    for (int kind = 0; kind < CXLF_KINDS; kind++) {
        for (int i = 0; i < CXLF_MAX_GFAMS; i++) {
            f->segment[kind][i].fd = -1;
        }
    }
    f->exit.notify = on_exit_process;
    qemu_add_exit_notifier(&f->exit);
    QLIST_INSERT_HEAD(&fabrics, f, next);
}

static void cxl_fabric_finalize(Object *obj)
{
    CXLFabric *f = CXL_FABRIC(obj);

    qemu_remove_exit_notifier(&f->exit);
    cxl_fabric_unlisten(f);
    cxl_fabric_leave(f);
    drop_segments(f);
    QLIST_REMOVE(f, next);
    g_free(f->socket);
    g_free(f->topology_file);
}

static void add_properties(ObjectClass *oc)
{
    static const char *const memdev[CXLF_MAX_GFAMS] = {
        "memdev0", "memdev1", "memdev2", "memdev3",
        "memdev4", "memdev5", "memdev6", "memdev7",
    };

    object_class_property_add_str(oc, "socket", get_socket, set_socket);
    object_class_property_set_description(oc, "socket",
        "UNIX socket at which the fabric's owner listens");
    object_class_property_add_bool(oc, "listen", get_listen, set_listen);
    object_class_property_set_description(oc, "listen",
        "Own the fabric and listen at 'socket' (off: join it)");
    object_class_property_add_str(oc, "topology", get_topology,
                                  set_topology);
    object_class_property_set_description(oc, "topology",
        "Device tree blob with the topology");
    for (int i = 0; i < ARRAY_SIZE(numbers); i++) {
        object_class_property_add(oc, numbers[i].name, "uint32", get_number,
                                  set_number, NULL, &numbers[i]);
        object_class_property_set_description(oc, numbers[i].name,
                                              numbers[i].description);
    }
    object_class_property_add(oc, "hot", "size", get_size, set_size, NULL,
                              NULL);
    object_class_property_set_description(oc, "hot",
        "HOT bytes of each GFAM device (owner only)");
    object_class_property_add(oc, "bulk", "size", get_size, set_size, NULL,
                              (void *)1);
    object_class_property_set_description(oc, "bulk",
        "BULK bytes of each GFAM device (owner only)");
    object_class_property_add(oc, "host", "int32", get_host, set_host, NULL,
                              NULL);
    object_class_property_set_description(oc, "host",
        "Host number wished for (-1: any)");
    for (int i = 0; i < CXLF_MAX_GFAMS; i++) {
        object_class_property_add_link(oc, memdev[i], TYPE_MEMORY_BACKEND,
                                       offsetof(CXLFabric, memdev[0]) +
                                       i * sizeof(HostMemoryBackend *),
                                       check_memdev,
                                       OBJ_PROP_LINK_STRONG);
        object_class_property_set_description(oc, memdev[i],
            "Shared memory backend of a GFAM device (owner only)");
    }
}

static void cxl_fabric_class_init(ObjectClass *oc, CXLF_CLASS_DATA data)
{
    UserCreatableClass *ucc = USER_CREATABLE_CLASS(oc);

    ucc->complete = cxl_fabric_complete;
    ucc->can_be_deleted = cxl_fabric_can_be_deleted;
    add_properties(oc);
}

static const TypeInfo cxl_fabric_info = {
    .name = TYPE_CXL_FABRIC,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(CXLFabric),
    .instance_init = cxl_fabric_init,
    .instance_finalize = cxl_fabric_finalize,
    .class_init = cxl_fabric_class_init,
    .interfaces = (InterfaceInfo[]) {
        { TYPE_USER_CREATABLE },
        { }
    },
};

static void cxl_fabric_register(void)
{
    type_register_static(&cxl_fabric_info);
}

type_init(cxl_fabric_register)
