/* tests/gpu/aten/fake_cuda.c - a driver that answers as KAIRO_FAKE_CUDA tells it: its version, what
   cuInit returns, how many GPUs, their compute capability, and a call that fails. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
  int version, init, devices, major, minor;
  char failing[64];
} says;

static int answer(const char* call) {
  const char* text = getenv("KAIRO_FAKE_CUDA");
  if (text == NULL || sscanf(text, "%d %d %d %d %d %63s", &says.version, &says.init, &says.devices,
                             &says.major, &says.minor, says.failing) != 6)
    return 1;
  return strcmp(says.failing, call) == 0 ? 999 : 0;
}
int cuDriverGetVersion(int* version) {
  const int code = answer("cuDriverGetVersion");
  *version = says.version;
  return code;
}
int cuInit(unsigned flags) {
  const int code = answer("cuInit");
  return flags != 0 ? 1 : code != 0 ? code : says.init;
}
int cuDeviceGetCount(int* count) {
  const int code = answer("cuDeviceGetCount");
  *count = says.devices;
  return code;
}
int cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return answer("cuDeviceGet");
}
int cuDeviceGetName(char* name, int length, int device) {
  snprintf(name, (size_t)length, "Fake GPU%s", device == 0 ? "" : " of another number");
  return answer("cuDeviceGetName");
}
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  const int code = answer("cuDeviceGetAttribute");
  *value = attribute == 75 ? says.major : says.minor;
  return device != 0 ? 1 : code;
}
int cuDeviceGetUuid_v2(unsigned char* bytes, int device) {
  for (int i = 0; i < 16; ++i) bytes[i] = (unsigned char)(i * 16 + device);
  return answer("cuDeviceGetUuid_v2");
}
int cuDevicePrimaryCtxRetain(void** context, int device) {
  *context = &says;
  return device != 0 ? 1 : answer("cuDevicePrimaryCtxRetain");
}
int cuCtxSetCurrent(void* context) {
  return context != &says ? 1 : answer("cuCtxSetCurrent");
}
int cuMemGetInfo_v2(size_t* free_bytes, size_t* all) {
  *free_bytes = (size_t)15 << 30;
  *all = (size_t)16 << 30;
  return answer("cuMemGetInfo_v2");
}
