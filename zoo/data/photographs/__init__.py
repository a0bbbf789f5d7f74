"""What people's photographs of digits need before they are plain pictures: even light, and nothing but the digit."""
