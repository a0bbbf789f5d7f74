// What the members are, and their slides, in Korean.

export const descriptions = {
  softmax: "은닉층 없는 소프트맥스 회귀: 784-10",
  deep_relu: "은닉층 두 개의 ReLU 네트워크, 초깃값 N(0, 1): 784-256-256-10",
  deep_relu_xavier: "은닉층 두 개의 ReLU 네트워크, Xavier 초깃값: 784-256-256-10",
  deep_relu_he: "은닉층 두 개의 ReLU 네트워크, He 초깃값: 784-256-256-10",
  deeper_relu_xavier: "은닉층 네 개의 ReLU 네트워크, Xavier 초깃값: 784-512×4-10",
  dropout: "은닉층 네 개의 ReLU 네트워크와 드롭아웃, 0.7을 남김: 784-512×4-10",
  dropout_batchnorm: "은닉층 네 개의 ReLU 네트워크와 배치 정규화, 드롭아웃: 784-512×4-10",
  dbn: "심층 신뢰 신경망: RBM으로 층마다 사전 학습한 뒤 드롭아웃으로 미세 조정, 784-500-500-2000-10",
  generative_dbn: "그리는 심층 신뢰 신경망: RBM 하나와, 정답도 함께 보는 그 위의 RBM, 미세 조정 없음, 784-500-500",
  bagging: "784-256-256-10 네트워크 다섯 개를 각자의 부트스트랩으로 학습: 배깅",
  residual: "Fast forward: 두 층마다 출력을 앞으로 넘기는 완전 연결 네트워크, 784-256, 블록 두 개, 10",
  residual_cnn: "필터에서의 fast forward: 작은 잔차 네트워크, 14×14에서 필터 32개, 7×7에서 64개",
  split_merge: "Split & merge: 한 층, 두 층, 세 층인 가지를 나란히, 784-256, 128 세 개, 256, 10",
  split_merge_cnn: "필터에서의 split & merge: 1×1, 3×3, 5×5 필터와 최댓값을 나란히 둔 인셉션 모듈 세 개, 이미지를 옮김",
  recurrent: "이미지를 한 행씩 읽는 순환 네트워크: 유닛 128개의 LSTM, 그다음 10",
  selu: "자기 정규화 네트워크: LeCun 초깃값의 SELU 네 층과 알파 드롭아웃, 784-256×4-10",
  mlp_augmented: "더 많은 학습 데이터: 에폭마다 이미지를 돌리고 늘이고 옮기고 구부림, 784-512-512-10",
};

export const slides = {
  dbn: "심층 신뢰 신경망(DBN)",
  generative_dbn: "그리는 심층 신뢰 신경망(DBN)",
  deep_relu_he: "He 초기화",
  mlp_augmented: "과적합, 더 많은 학습 데이터, L2 규제",
  bagging: "앙상블",
  residual_cnn: "Fast forward: 합성곱 신경망",
  split_merge_cnn: "Split & merge: 합성곱 신경망",
  recurrent: "순환 신경망",
  softmax: "은닉층 없음, 0.9183",
  deep_relu: "깊은 층 & ReLU, 0.9468",
  deep_relu_xavier: "깊은 층 & ReLU & Xavier, 0.9795",
  deeper_relu_xavier: "더 깊은 층 & ReLU & Xavier, 0.9811",
  dropout: "… & 드롭아웃, 0.9803",
  dropout_batchnorm: "… & 배치 정규화, 간결한 코드, 0.9843",
  selu: "기타: SELU",
};
