// The few C++ classes of GE, CANN's graph engine, that MindSpore's plugin uses outside whole-graph
// compilation: while it is loaded, and to learn the names of an operator's inputs. They are
// compiled with the old std::string, as CANN's are. What CANN hides behind a shared pointer is
// something else here, behind a pointer of the same size.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace ge {

enum DataType : int {};
enum Format : int {};

class StatusFactory {
 public:
  static StatusFactory *Instance();
  std::map<uint32_t, std::string> descriptions;
};

StatusFactory *StatusFactory::Instance() {
  static auto *factory = new StatusFactory[2];  // room for members that CANN's has and this not
  return factory;
}

class AscendString {
 public:
  AscendString() = default;
  AscendString(const char *text);
  const char *GetString() const;
  bool operator<(const AscendString &other) const;
  std::shared_ptr<std::string> text;
};

AscendString::AscendString(const char *given)
    : text(std::make_shared<std::string>(given ? given : "")) {}
const char *AscendString::GetString() const { return text ? text->c_str() : ""; }
bool AscendString::operator<(const AscendString &other) const {
  return std::string(GetString()) < other.GetString();
}

class Shape {
 public:
  Shape();
  explicit Shape(const std::vector<int64_t> &sizes);
  size_t GetDimNum() const;
  int64_t GetDim(size_t axis) const;
  void SetDim(size_t axis, int64_t size);
  std::vector<int64_t> GetDims() const;
  std::shared_ptr<std::vector<int64_t>> sizes;
};

Shape::Shape() : sizes(std::make_shared<std::vector<int64_t>>()) {}
Shape::Shape(const std::vector<int64_t> &given)
    : sizes(std::make_shared<std::vector<int64_t>>(given)) {}
size_t Shape::GetDimNum() const { return sizes->size(); }
int64_t Shape::GetDim(size_t axis) const { return axis < sizes->size() ? (*sizes)[axis] : 0; }
void Shape::SetDim(size_t axis, int64_t size) {
  if (axis < sizes->size()) (*sizes)[axis] = size;
}
std::vector<int64_t> Shape::GetDims() const { return *sizes; }

class TensorDesc {
 public:
  struct Content {
    Shape shape;
    int format = 2, dtype = 0;
  };
  TensorDesc();
  TensorDesc(Shape shape, Format format, DataType dtype);
  TensorDesc(const TensorDesc &other);
  TensorDesc(TensorDesc &&other);
  TensorDesc &operator=(const TensorDesc &) = default;
  Shape GetShape() const;
  Shape GetOriginShape() const;
  Format GetFormat() const;
  DataType GetDataType() const;
  std::shared_ptr<Content> content;
};

TensorDesc::TensorDesc() : content(std::make_shared<Content>()) {}
TensorDesc::TensorDesc(Shape shape, Format format, DataType dtype)
    : content(std::make_shared<Content>()) {
  content->shape = shape;
  content->format = format;
  content->dtype = dtype;
}
TensorDesc::TensorDesc(const TensorDesc &other) : content(other.content) {}
TensorDesc::TensorDesc(TensorDesc &&other) : content(std::move(other.content)) {}
Shape TensorDesc::GetShape() const { return content ? content->shape : Shape(); }
Shape TensorDesc::GetOriginShape() const { return GetShape(); }
Format TensorDesc::GetFormat() const { return Format(content ? content->format : 2); }
DataType TensorDesc::GetDataType() const { return DataType(content ? content->dtype : 0); }

class Tensor {
 public:
  Tensor();
  explicit Tensor(const TensorDesc &description);
  Tensor(const TensorDesc &description, const uint8_t *data, size_t size);
  TensorDesc GetTensorDesc() const;
  std::shared_ptr<TensorDesc> description;
};

Tensor::Tensor() : description(std::make_shared<TensorDesc>()) {}
Tensor::Tensor(const TensorDesc &given) : description(std::make_shared<TensorDesc>(given)) {}
Tensor::Tensor(const TensorDesc &given, const uint8_t *, size_t)
    : description(std::make_shared<TensorDesc>(given)) {}
TensorDesc Tensor::GetTensorDesc() const { return *description; }

class Operator {
 public:
  struct Content {
    std::string name, type;
  };
  Operator(const char *type);
  Operator(const char *name, const char *type);
  Operator(const AscendString &name, const AscendString &type);
  Operator(const std::string &type);
  Operator(const std::string &name, const std::string &type);
  virtual ~Operator() = default;
  std::string GetName() const;
  uint32_t GetName(AscendString &name) const;
  std::string GetOpType() const;
  uint32_t GetOpType(AscendString &type) const;
  TensorDesc GetOutputDesc(const std::string &name) const;
  TensorDesc GetOutputDesc(uint32_t index) const;
  uint32_t GetAttr(const char *name, bool &value) const;
  uint32_t GetAttr(const char *name, int64_t &value) const;
  uint32_t GetAttr(const char *name, float &value) const;
  std::shared_ptr<Content> content;
};

Operator::Operator(const char *type) : content(new Content{"", type}) {}
Operator::Operator(const char *name, const char *type) : content(new Content{name, type}) {}
Operator::Operator(const AscendString &name, const AscendString &type)
    : content(new Content{name.GetString(), type.GetString()}) {}
Operator::Operator(const std::string &type) : content(new Content{"", type}) {}
Operator::Operator(const std::string &name, const std::string &type)
    : content(new Content{name, type}) {}
std::string Operator::GetName() const { return content ? content->name : ""; }
uint32_t Operator::GetName(AscendString &name) const {
  name = AscendString(GetName().c_str());
  return 0;
}
std::string Operator::GetOpType() const { return content ? content->type : ""; }
uint32_t Operator::GetOpType(AscendString &type) const {
  type = AscendString(GetOpType().c_str());
  return 0;
}
TensorDesc Operator::GetOutputDesc(const std::string &) const { return TensorDesc(); }
TensorDesc Operator::GetOutputDesc(uint32_t) const { return TensorDesc(); }
uint32_t Operator::GetAttr(const char *, bool &value) const {
  value = false;
  return 0;
}
uint32_t Operator::GetAttr(const char *, int64_t &value) const {
  value = 0;
  return 0;
}
uint32_t Operator::GetAttr(const char *, float &value) const {
  value = 0;
  return 0;
}

uint32_t GEInitialize(const std::map<std::string, std::string> &) { return 0; }

class OperatorFactory {
 public:
  static Operator CreateOperator(const char *name, const char *type);
  static Operator CreateOperator(const std::string &name, const std::string &type);
  static bool IsExistOp(const char *type);
  static bool IsExistOp(const std::string &type);
};

Operator OperatorFactory::CreateOperator(const char *name, const char *type) {
  return Operator(name, type);
}
Operator OperatorFactory::CreateOperator(const std::string &name, const std::string &type) {
  return Operator(name, type);
}
bool OperatorFactory::IsExistOp(const char *) { return true; }
bool OperatorFactory::IsExistOp(const std::string &) { return true; }

}  // namespace ge
