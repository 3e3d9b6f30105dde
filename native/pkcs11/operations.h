/* operations.h: inits that the module answers itself (docs/protocols/pkcs11-rpc.md). */
#ifndef KEYHOLM_OPERATIONS_H
#define KEYHOLM_OPERATIONS_H

#include "pkcs11.h"

/* Tell the daemon of every init that was held back in this session. */
CK_RV operations_send_held(CK_SESSION_HANDLE);
CK_RV operations_cancel(CK_SESSION_HANDLE, CK_FLAGS);

#endif
