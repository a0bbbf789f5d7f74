"""The members' cards in Korean: those in English, with their sentences and the words of their drawings replaced."""

from __future__ import annotations

import re

from docs.korean import descriptions, korean

SENTENCES = {
    "## Network": "## 구조",
    "## Runs": "## 학습 결과",
    "## Published network": "## 공개된 네트워크",
    "### Calibration": "### 보정",
    "## Config": "## 설정 파일",
    "## Papers": "## 논문",
    "A bin holds the test images with a similar probability of the predicted class. Bins below the line are "
    "overconfident. The area of a circle is proportional to the number of its images.": (
        "한 구간에는 예측한 클래스의 확률이 비슷한 테스트 이미지가 들어갑니다. 선 아래의 구간은 확신이 지나칩니다. "
        "원의 넓이는 이미지 수에 비례합니다."
    ),
}
"""Whole lines."""
PATTERNS = {
    r"^The lecture reports an accuracy of ([\d.]+)\.$": r"강의의 정확도는 \1입니다.",
    r"^Test errors by seed: (.+)\.$": r"시드별 테스트 오류: \1.",
    r"^(`zoo verify \w+`) checks it\. (`zoo reproduce \w+`) trains it again and compares\.$": (
        r"\1 명령은 이 네트워크를 확인합니다. \2 명령은 다시 학습해서 비교합니다."
    ),
    r"^\| on (.+?) \|": r"| \1에서 |",
}
"""What is replaced in a line. The cells of tables are replaced by `docs.korean.korean`."""
DRAWN = {
    "The network": "구조",
    "The layers of the network": "네트워크의 층",
    "Test errors of the runs": "학습 결과의 테스트 오류",
    "test errors: runs (dots), 95 % interval of their mean (bar), published network (diamond)": (
        "테스트 오류: 학습 결과(점), 평균의 95 % 구간(막대), 공개된 네트워크(마름모)"
    ),
    "Accuracy against probability": "확률에 대한 정확도",
    "accuracy against probability": "확률에 대한 정확도",
    "predicted": "예측 그대로",
    "calibrated": "보정 후",
    "pixels": "픽셀",
    "side by side": "나란히",
    "mean of the probabilities": "확률의 평균",
    "28 rows": "28행",
    "of 28 pixels": "28픽셀씩",
    "28 steps": "28단계",
    "probabilities": "확률",
    "and the label": "정답도 입력",
    "− free energy": "− 자유 에너지",
    "of each label": "정답마다",
}
"""The texts of drawings. The names of layers stay as they are."""


def korean_card(card: str) -> str:
    """Return a card in Korean. The config, its heading aside, and the papers stay as they are."""
    text, heading, config = card.partition("## Config\n")
    lines = [_line(line) for line in text.splitlines()]
    config = config.replace("## Papers\n", f"{SENTENCES['## Papers']}\n")
    return "\n".join(lines) + f"\n{SENTENCES[heading.strip()]}\n{config}"


def _line(line: str) -> str:
    if "<svg" in line:
        texts = r'(?<=>)[^<>]+(?=<)|(?<=aria-label=")[^"]+(?=")'
        return re.sub(texts, lambda found: DRAWN.get(found[0], found[0]), line)
    if (whole := SENTENCES.get(line) or descriptions().get(line.removesuffix("."))) is not None:
        return whole
    for pattern, replacement in PATTERNS.items():
        line = re.sub(pattern, replacement, line)
    return korean(line)
